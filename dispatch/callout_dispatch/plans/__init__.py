"""Plans: many visits over many engineers and days at once, proposed, checked, and accepted by a person."""
