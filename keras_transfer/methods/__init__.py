"""What else shapes training, beside network, data and objective."""
