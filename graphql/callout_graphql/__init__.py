"""The GraphQL door: schema, endpoint, guard, loaders, subscriptions. It opens transactions and calls services below."""
