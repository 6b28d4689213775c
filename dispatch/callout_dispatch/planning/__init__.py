"""Planning itself, as values: problems and plans, planners, and the checker that trusts none of them."""
