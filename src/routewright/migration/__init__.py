"""From the settings of other gateways to ours: what they say is read, put into our words, and accounted for line by line."""
