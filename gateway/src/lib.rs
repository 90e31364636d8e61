//! The outward face: REST, GraphQL, live events, sessions, public gRPC and the UI.
