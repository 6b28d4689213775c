"""The service desk: customers, sites, assets, parts, work orders, their SLA clock and their sign-off."""
