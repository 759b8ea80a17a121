"""Who is asking: the OAuth2 and SMART authorization server, its people and clients, or an external OpenID provider."""
