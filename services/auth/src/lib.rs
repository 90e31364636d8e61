//! Users, passwords, tokens, sessions and the five roles.
