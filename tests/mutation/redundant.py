"""What may be taken away unnoticed, and why.

Law: only what repeats another guard, or saves work and changes nothing, stands here; each line says which.
"""

from collections.abc import Mapping

REDUNDANT: Mapping[str, str] = {}
