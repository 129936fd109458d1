//! Removes containers: those of a run at its end, and those that killed runs left; and images that are no longer used.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum as State},
    query_parameters::{
        ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
    },
};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::{
    DockerError, Engine,
    error::{CONFLICT, NOT_FOUND, ask},
    image::is_ours,
    marks::{self, Part, RunId},
};

/// An image that Peerbed made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The engine's id for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it takes on disk, where it shares nothing.
    pub bytes: u64,
    /// Since it was made.
    pub age: Duration,
}

/// How many containers are removed at once: engines do some of the work one after the other in any case.
const AT_ONCE: usize = 16;
/// An agent that was made and does not run yet after so long never will.
const STARTS_WITHIN: Duration = Duration::from_mins(2);
/// How often, and how long in all, what is being started elsewhere is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LINGER: Duration = Duration::from_secs(3);

impl Engine {
    /// Remove every container of a run but its agent; gives how many.
    pub async fn remove_nodes(&self, run: &RunId) -> Result<usize, DockerError> {
        self.remove_where(run, |one| part(one) != Some(Part::Agent.word())).await
    }

    /// Remove every container of a run, its agent as well; gives how many.
    pub async fn remove_run(&self, run: &RunId) -> Result<usize, DockerError> {
        self.remove_where(run, |_| true).await
    }

    /// As [`Engine::remove_nodes`], of a run whose harness has vanished: what it had asked for may appear a little later.
    pub async fn remove_nodes_and_stragglers(&self, run: &RunId) -> Result<usize, DockerError> {
        let mut looks = Looks::default();
        while looks.go_on() {
            looks.found(self.remove_nodes(run).await?).await;
        }
        Ok(looks.removed)
    }

    /// As [`Engine::remove_run`], likewise.
    pub async fn remove_run_and_stragglers(&self, run: &RunId) -> Result<usize, DockerError> {
        let mut looks = Looks::default();
        while looks.go_on() {
            looks.found(self.remove_run(run).await?).await;
        }
        Ok(looks.removed)
    }

    async fn remove_where(
        &self,
        run: &RunId,
        doomed: impl Fn(&ContainerSummary) -> bool,
    ) -> Result<usize, DockerError> {
        let all = self.containers(&run.filter()).await?;
        let own = all.into_iter().filter(|one| self::run(one).as_ref() == Some(run) && doomed(one));
        self.remove(own.filter_map(|one| one.id).collect()).await
    }

    /// Remove the containers of all runs whose agent does not run: nobody will come back to them. Gives how many.
    pub async fn sweep(&self) -> Result<usize, DockerError> {
        let left = self.left_behind().await?;
        self.remove(left).await
    }

    /// The ids of what [`Engine::sweep`] would remove.
    pub async fn left_behind(&self) -> Result<Vec<String>, DockerError> {
        let all = self.containers(marks::RUN).await?;
        let dead = dead(&all, Timestamp::now().as_second());
        let left = all.iter().filter(|one| run(one).is_some_and(|run| dead.contains(&run)));
        Ok(left.filter_map(|one| one.id.clone()).collect())
    }

    /// The images that Peerbed made.
    pub async fn images(&self) -> Result<Vec<Made>, DockerError> {
        let filters = HashMap::from([("label", vec![marks::IMAGE.to_owned()])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = ask("list images", || self.api.list_images(Some(options.clone()))).await?;
        let made = |image: bollard::models::ImageSummary| {
            // What somebody made of a container of ours has its labels, but no name of ours.
            let tag = image.labels.get(marks::IMAGE)?;
            Some(Made {
                name: image.repo_tags.iter().find(|name| is_ours(name, tag))?.clone(),
                id: image.id,
                bytes: u64::try_from(image.size).unwrap_or(0),
                age: Duration::from_secs(u64::try_from(Timestamp::now().as_second() - image.created).unwrap_or(0)),
            })
        };
        Ok(images.into_iter().filter_map(made).collect())
    }

    /// Remove these images; gives how many. Those that something runs from stay.
    pub async fn remove_images(&self, ids: &[String]) -> Result<usize, DockerError> {
        let mut removed = 0;
        for id in ids {
            let removal =
                ask(format!("remove the image {id}"), || self.api.remove_image(id, None::<RemoveImageOptions>, None));
            match removal.await {
                Ok(_) => removed += 1,
                Err(error) if error.is(CONFLICT) || error.is(NOT_FOUND) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    async fn containers(&self, label: &str) -> Result<Vec<ContainerSummary>, DockerError> {
        let filters = HashMap::from([("label", vec![label.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        ask("list containers", || self.api.list_containers(Some(options.clone()))).await
    }

    /// Remove containers, with their anonymous volumes, whatever they do. All are tried; the first error is told.
    async fn remove(&self, ids: Vec<String>) -> Result<usize, DockerError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let remove = |id: String| {
            let options = options.clone();
            async move {
                ask(format!("remove the container {id}"), || self.api.remove_container(&id, Some(options.clone())))
                    .await
            }
        };
        let removals: Vec<_> = stream::iter(ids).map(remove).buffer_unordered(AT_ONCE).collect().await;
        let (mut removed, mut failed) = (0, None);
        for removal in removals {
            match removal {
                Ok(()) => removed += 1,
                // Somebody else has removed it, or is about to.
                Err(error) if error.is(NOT_FOUND) || error.is(CONFLICT) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(removed), Err)
    }
}

/// Looking again and again, until nothing was found for long enough.
#[derive(Debug, Default)]
struct Looks {
    removed: usize,
    quiet: Duration,
}

impl Looks {
    fn go_on(&self) -> bool {
        self.quiet < LINGER
    }

    async fn found(&mut self, removed: usize) {
        self.removed += removed;
        self.quiet = if removed == 0 { self.quiet + LOOK_EVERY } else { Duration::ZERO };
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The run that a container is of, by its labels and its name.
fn run(container: &ContainerSummary) -> Option<RunId> {
    let run = RunId::of(container.labels.as_ref()?)?;
    container.names.iter().flatten().any(|name| run.owns(name)).then_some(run)
}

fn part(container: &ContainerSummary) -> Option<&str> {
    container.labels.as_ref()?.get(marks::PART).map(String::as_str)
}

/// The runs whose agent does not run, nor is about to.
fn dead(containers: &[ContainerSummary], now: i64) -> BTreeSet<RunId> {
    let mut lives: BTreeMap<RunId, bool> = BTreeMap::new();
    for container in containers {
        let Some(run) = run(container) else { continue };
        let young = now.saturating_sub(container.created.unwrap_or(0)) < STARTS_WITHIN.as_secs() as i64;
        let alive = part(container) == Some(Part::Agent.word())
            && match container.state {
                // One that stands still is of a run that is lost: a harness that lives removes it at once.
                Some(State::RUNNING | State::RESTARTING) => true,
                Some(State::CREATED) => young,
                _ => false,
            };
        *lives.entry(run).or_default() |= alive;
    }
    lives.into_iter().filter(|(_, lives)| !lives).map(|(run, _)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(digit: char, part: Part, state: State, created: i64) -> ContainerSummary {
        let run: RunId = serde_json::from_str(&format!("{:?}", digit.to_string().repeat(12))).unwrap();
        ContainerSummary {
            names: Some(vec![format!("/{}", run.agent())]),
            labels: Some(marks::labels(&run, part, None)),
            state: Some(state),
            created: Some(created),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn a_run_lives_as_long_as_its_agent() {
        const LIVING: char = '1';
        const KILLED: char = '2';
        const ENDED: char = '3';
        const BEGINNING: char = '4';
        const NEVER: char = '5';
        const TEMPLATE: char = '6';
        const STILL: char = '7';
        let all = [
            container(LIVING, Part::Agent, State::RUNNING, 0),
            container(LIVING, Part::Node, State::EXITED, 0),
            container(KILLED, Part::Node, State::RUNNING, 900),
            container(ENDED, Part::Agent, State::EXITED, 900),
            container(ENDED, Part::Node, State::CREATED, 900),
            container(BEGINNING, Part::Agent, State::CREATED, 990),
            container(NEVER, Part::Agent, State::CREATED, 10),
            container(TEMPLATE, Part::Template, State::CREATED, 990),
            container(STILL, Part::Agent, State::PAUSED, 990),
            ContainerSummary { state: Some(State::EXITED), ..ContainerSummary::default() },
        ];
        let passed_on = ContainerSummary { names: Some(vec!["/mine".to_owned()]), ..all[2].clone() };
        assert_eq!(run(&passed_on), None, "labels alone do not make it ours");
        let mut foreign = all[2].clone();
        foreign.labels.as_mut().unwrap().insert(marks::RUN.to_owned(), "a.b".to_owned());
        foreign.names = Some(vec!["/peerbed-a.b-x".to_owned()]);
        assert_eq!(run(&foreign), None, "what looks like none of ours is none");
        let found: String = dead(&all, 1000).iter().filter_map(|run| run.to_string().chars().next()).collect();
        assert_eq!(found, [KILLED, ENDED, NEVER, TEMPLATE, STILL].iter().collect::<String>());
    }
}
