//! A look at what an engine has, past everything that is tested.

use std::collections::{BTreeSet, HashMap};

use bollard::{
    API_DEFAULT_VERSION,
    models::{ContainerInspectResponse, ContainerSummary, ImageInspect},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptions, ListContainersOptionsBuilder,
        ListNetworksOptions, ListVolumesOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use peerbed::docker::{AgentOrders, Endpoint, Engine};

/// How long the engine may take to answer, seconds.
const PATIENCE: u64 = 60;

/// A client of the tests' own.
pub(super) struct Look {
    pub(super) api: bollard::Docker,
}

/// A container of Peerbed's.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) run: String,
    pub(super) part: String,
    /// None for those that are not a node's.
    pub(super) node: String,
    #[expect(dead_code, reason = "it is shown when a test fails")]
    pub(super) state: String,
}

impl Found {
    pub(super) fn is_agent(&self) -> bool {
        self.part == "agent"
    }

    fn of(container: ContainerSummary) -> Option<Self> {
        let labels = container.labels?;
        let label = |name: &str| labels.get(name).cloned();
        Some(Self {
            id: container.id?,
            name: container.names.unwrap_or_default().concat(),
            run: label("peerbed.run")?,
            part: label("peerbed.part").unwrap_or_default(),
            node: label("peerbed.node").unwrap_or_default(),
            state: format!("{:?}", container.state),
        })
    }
}

impl Look {
    pub(super) async fn at(engine: &Engine) -> Self {
        let connected = match engine.endpoint() {
            Endpoint::Unix(path) => {
                bollard::Docker::connect_with_unix(path.to_str().unwrap(), PATIENCE, API_DEFAULT_VERSION)
            }
            Endpoint::Tcp(address) => {
                bollard::Docker::connect_with_http(&format!("tcp://{address}"), PATIENCE, API_DEFAULT_VERSION)
            }
        };
        Self { api: connected.unwrap().negotiate_version().await.unwrap() }
    }

    /// The containers of Peerbed's.
    pub(super) async fn peerbeds(&self) -> Vec<Found> {
        let filters = HashMap::from([("label", vec!["peerbed.run"])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        self.api.list_containers(Some(options)).await.unwrap().into_iter().filter_map(Found::of).collect()
    }

    /// Every network's name, driver and addresses.
    pub(super) async fn networks(&self) -> BTreeSet<String> {
        let all = self.api.list_networks(None::<ListNetworksOptions>).await.unwrap();
        all.into_iter().map(|network| format!("{:?} {:?} {:?}", network.name, network.driver, network.ipam)).collect()
    }

    /// Every volume's name.
    pub(super) async fn volumes(&self) -> BTreeSet<String> {
        let all = self.api.list_volumes(None::<ListVolumesOptions>).await.unwrap();
        all.volumes.into_iter().flatten().map(|volume| volume.name).collect()
    }

    /// A container; none if it has gone.
    pub(super) async fn inspect(&self, id: &str) -> Option<ContainerInspectResponse> {
        self.api.inspect_container(id, None::<InspectContainerOptions>).await.ok()
    }

    /// An image; none if there is none.
    pub(super) async fn image(&self, name: &str) -> Option<ImageInspect> {
        self.api.inspect_image(name).await.ok()
    }

    /// The process of a container.
    pub(super) async fn pid(&self, id: &str) -> Option<u32> {
        u32::try_from(self.inspect(id).await?.state?.pid?).ok()
    }

    /// The process whose agent a container is.
    pub(super) async fn harness_of(&self, agent: &str) -> Option<u32> {
        let arguments = self.inspect(agent).await?.args?;
        let orders: AgentOrders = serde_json::from_str(arguments.last()?).ok()?;
        Some(orders.harness_pid)
    }

    pub(super) async fn kill(&self, id: &str) {
        self.api.kill_container(id, None::<KillContainerOptions>).await.unwrap();
    }

    pub(super) async fn pause(&self, id: &str) {
        self.api.pause_container(id).await.unwrap();
    }

    pub(super) async fn unpause(&self, id: &str) {
        self.api.unpause_container(id).await.unwrap();
    }

    /// Start a container of this image that has these labels and does nothing, without a network; gives its id.
    pub(super) async fn idle(&self, name: &str, image: &str, labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let body = bollard::models::ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(["sleep", "1000"].map(str::to_owned).to_vec()),
            labels: Some(labels),
            host_config: Some(bollard::models::HostConfig {
                network_mode: Some("none".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let id = self.api.create_container(Some(options), body).await.unwrap().id;
        self.api.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        id
    }

    pub(super) async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        self.api.remove_container(id, Some(options)).await.unwrap();
    }
}
