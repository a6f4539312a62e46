"""Payment providers: each starts payments, and understands what its webhooks and polls say."""
