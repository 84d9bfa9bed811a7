"""Who may use the gateway: virtual keys, what they allow, and where they are kept (docs/keys.md)."""
