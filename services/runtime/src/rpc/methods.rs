//! What is known of every method: its row in the access table and whether requests or answers are streams.

use std::collections::HashMap;
use std::sync::LazyLock;

use cc_proto::access::{Rpc, TABLE};
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// One method.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its row.
    pub(crate) rpc: &'static Rpc,
    /// Place in the table; identifies the method in arrays of metrics.
    pub(crate) index: usize,
    /// `clustercockpit.archive.v1.Archive`.
    pub(crate) service: &'static str,
    /// `ReadMeta`.
    pub(crate) name: &'static str,
    /// The request is a stream, so it cannot be sent again.
    pub(crate) client_streaming: bool,
}

/// Number of methods, i.e. one more than the highest index.
pub(crate) const COUNT: usize = TABLE.len();

static METHODS: LazyLock<HashMap<&'static str, Method>> = LazyLock::new(|| {
    // without the descriptor set every method counts as streaming, i.e. nothing is ever repeated
    let streaming: HashMap<String, bool> = FileDescriptorSet::decode(cc_proto::DESCRIPTOR_SET)
        .map(|set| {
            let mut streaming = HashMap::new();
            for file in &set.file {
                for service in &file.service {
                    for method in &service.method {
                        let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                        streaming.insert(path, method.client_streaming());
                    }
                }
            }
            streaming
        })
        .unwrap_or_default();
    TABLE
        .iter()
        .enumerate()
        .filter_map(|(index, rpc)| {
            let (service, name) = split(rpc.path)?;
            let client_streaming = streaming.get(rpc.path).copied().unwrap_or(true);
            Some((rpc.path, Method { rpc, index, service, name, client_streaming }))
        })
        .collect()
});

/// The method of a path.
pub(crate) fn find(path: &str) -> Option<&'static Method> {
    METHODS.get(path)
}

/// Service and method of a path.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_with_its_shape() {
        for rpc in TABLE {
            let method = find(rpc.path).unwrap();
            assert_eq!(format!("/{}/{}", method.service, method.name), rpc.path);
            assert_eq!(TABLE[method.index].path, rpc.path);
        }
        assert!(find("/clustercockpit.metric_store.v1.MetricStore/Write").unwrap().client_streaming);
        assert!(!find("/clustercockpit.archive.v1.Archive/ReadMeta").unwrap().client_streaming);
        assert!(find("/a.B/C").is_none());
    }
}
