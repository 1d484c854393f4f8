"""Classical learners on frozen features."""
