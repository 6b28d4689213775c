"""`callout conform`: does a server keep to the protocol? Named checks over HTTP, from outside, against any server.

`ask` sends requests, `bench` makes what the checks need (through the API) and clears it away, `play` runs the golden
vectors, the modules `checks_*` hold what cannot be written as a vector, `run` puts all of it in order, `report` tells.
"""
