"""Tables of `knowledge`. See `callout_orders.tables` for the manner."""

from piccolo.table import Table

TABLES: tuple[type[Table], ...] = ()
