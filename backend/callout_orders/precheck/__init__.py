"""What is looked at before an order is taken in: rules, extraction from free text, keyword tags, duplicates.

`taking.check` and `taking.take` are the two ways in; `terms` holds what goes in and out. Pure: `rules`, `extract` (with
`names`, `addresses`, `phones`, `serials`), `tags`, `duplicates`, `words`. Rows: `products`, `keywords`, `settings`, `links`
(duplicates and merges).
"""
