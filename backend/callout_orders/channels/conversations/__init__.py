"""Conversations: a request put together over several messages, and what a channel says back."""
