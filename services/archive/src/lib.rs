//! The job archive on disk and the cluster files in it; archiving of stopped jobs.
