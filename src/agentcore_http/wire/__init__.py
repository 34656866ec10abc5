"""What stands on the wire: requests, answers, frames. Only these modules know its words."""
