"""The SLA clock: policies and calendars, milestones of orders, pauses, marks and alarms."""
