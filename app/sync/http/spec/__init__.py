"""The specification of the API: what each route is asked and answers, as OpenAPI says it."""
