"""Delivery and recovery: who keeps, confirms and sends again which item."""
