"""Teams and their people: members, duty, presence, who has to do with an order, the directory."""
