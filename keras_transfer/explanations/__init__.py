"""Which pixels or words a network's answer comes from."""
