"""What is looked at before an order is taken in: rules, extraction from free text, keyword tags, duplicates."""
