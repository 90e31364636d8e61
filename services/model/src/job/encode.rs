//! The outward form of a job.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};

use super::Job;

/// `{"items":null,"count":0}`: the reference has the member but never fills it.
struct ConcurrentJobs;

impl Serialize for ConcurrentJobs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ConcurrentJobs", 2)?;
        out.serialize_field("items", &())?;
        out.serialize_field("count", &0)?;
        out.end()
    }
}

impl Serialize for Job {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = Members(serializer.serialize_map(None)?);
        out.always("cluster", &self.cluster)?;
        out.always("subCluster", &self.sub_cluster)?;
        out.unless("partition", &self.partition, self.partition.is_empty())?;
        out.always("project", &self.project)?;
        out.always("user", &self.user)?;
        out.always("shared", &self.shared)?;
        out.always("jobState", &self.state)?;
        out.unless("tags", &self.tags, self.tags.is_empty())?;
        out.always("resources", &self.resources)?;
        out.always("energyFootprint", &self.energy_footprint)?;
        out.always("footprint", &self.footprint)?;
        out.always("metaData", &self.meta_data)?;
        out.always("concurrentJobs", &ConcurrentJobs)?;
        out.always("energy", &self.energy)?;
        out.unless("arrayJobId", &self.array_job_id, self.array_job_id == 0)?;
        out.unless("walltime", &self.walltime, self.walltime == 0)?;
        out.unless("requestedMemory", &self.requested_memory, self.requested_memory == 0)?;
        out.always("jobId", &self.job_id)?;
        out.always("duration", &self.duration)?;
        out.unless("smt", &self.smt, self.smt == 0)?;
        let monitoring = self.monitoring_status.code();
        out.unless("monitoringStatus", &monitoring, monitoring == 0)?;
        out.unless("numAcc", &self.num_acc, self.num_acc == 0)?;
        out.unless("numHwthreads", &self.num_hwthreads, self.num_hwthreads == 0)?;
        out.always("numNodes", &self.num_nodes)?;
        out.always("statistics", &self.statistics)?;
        out.unless("id", &self.id, self.id.is_none())?;
        out.unless("submitTime", &self.submit_time, self.submit_time == 0)?;
        out.always("startTime", &self.start_time)?;
        out.0.end()
    }
}

/// Members that are always written, or only when they say something.
struct Members<M>(M);

impl<M: SerializeMap> Members<M> {
    fn always<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), M::Error> {
        self.0.serialize_entry(key, value)
    }

    fn unless<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
        empty: bool,
    ) -> Result<(), M::Error> {
        if empty { Ok(()) } else { self.always(key, value) }
    }
}

/// Reads the outward form back, tolerantly as [`Job::from_meta_json`] does.
impl<'de> Deserialize<'de> for Job {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}
