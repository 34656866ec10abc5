"""What is fetched from the package index."""

from pathlib import Path

from agentcore_adapters import wheels


def test_what_vanishes_while_it_is_counted_counts_for_nothing(tmp_path: Path) -> None:
    """Another download on the machine moves its files away whenever it likes."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "whole").write_bytes(b"x" * 10)
    (tmp_path / "a" / "gone").symlink_to(tmp_path / "nowhere")
    assert wheels._bytes_in(tmp_path) == 10
    assert wheels._bytes_in(tmp_path / "nowhere") == 0
