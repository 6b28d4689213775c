"""What is looked at before an order is taken in: rules, extraction from free text, keyword tags, duplicates.

`taking.check` and `taking.take` are the two ways in (`many` for a sheet of requests); `terms` holds what goes in and out.
Nothing is read by `rules`, `filling`, `looking`, `matching`, all of `text`, `alike.duplicates` and `alike.apart`. Rows:
`lookup` (whom a request speaks of), `making`, `products`, `keywords`, `settings`, `alike.search`, `alike.links` (merges).
"""
