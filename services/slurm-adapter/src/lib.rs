//! The Slurm side: sends a cluster's job events over the public gRPC stream.
