"""Payment providers: each starts payments, and understands what its webhooks and look-ups say."""
