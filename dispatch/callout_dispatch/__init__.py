"""Dispatch: engineers with their skills and shifts; visits and their on-site events; pick and board."""
