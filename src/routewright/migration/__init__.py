"""From the settings of other gateways to ours: read, put into our words, and accounted for line by line."""
