"""Kinds of order as configuration: fields, pre-checks, steps, approvals; five templates, versions, check and drawing."""
