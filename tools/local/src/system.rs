//! The running system: a listener, the embedded engines, the functions and the event source
//! mappings. The command line starts one; tests start any number at the same time.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemark_aws::Clock;
use tidemark_core::wire::origins::{AllowedOrigins, OriginError};
use tidemark_core::wire::routes::ROUTES;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::data_folder::{DataFolder, DataFolderError};
use crate::deployment::{self, Clients, DeploymentError, StreamFunction};
use crate::engine::http::{EngineClient, Hook, NoHook, dynamodb_client};
use crate::engine::{Engine, EngineError};
use crate::event_source::EventSourceMapping;
use crate::gateway::{self, ApiKind, Front, Guard, RouteError};
use crate::store::client::{StoreClient, s3_client};
use crate::store::{Store, StoreError};
use crate::template::functions::StreamMapping;
use crate::template::{Template, TemplateError};

/// Interval between two deletions of expired items: a minute, where DynamoDB guarantees only days.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Longest wait for a task when the system stops. A client that keeps its request open must not
/// prevent the stop.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Location of the stored data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In this folder, where the next start finds it.
    Folder(PathBuf),
    /// In memory, and media in a temporary folder. Lost when the system stops.
    Memory,
}

/// Options with which a system starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Location of the stored data.
    pub storage: Storage,
    /// The API Gateway product to emulate.
    pub api: ApiKind,
    /// Origins whose pages may use the API and upload media, separated by commas:
    /// [`deployment::LOCAL_ORIGINS`] and others.
    pub allowed_origins: String,
    /// Interval at which expired items are deleted, beginning at the start: [`SWEEP_EVERY`], or a
    /// shorter one in tests.
    pub sweep_every: Duration,
}

/// Reasons why the system does not start. The messages are for a person at a terminal.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process listens on the port.
    #[error(
        "port {0} on 127.0.0.1 is already in use; stop what uses it, or choose another one with --port"
    )]
    PortInUse(u16),
    /// The port cannot be bound for another reason.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// Port on 127.0.0.1 that was requested.
        port: u16,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// The embedded DynamoDB cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The embedded S3 cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The template `template.yaml` cannot be evaluated.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The functions or tables cannot be set up.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// A route cannot be served.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The list of allowed origins is invalid.
    #[error(transparent)]
    Origins(#[from] OriginError),
}

/// A running system. If it is dropped without [`System::stop`], its tasks are not awaited.
pub struct System {
    /// Address on which it listens.
    pub addr: SocketAddr,
    /// Engine of the embedded DynamoDB.
    pub engine: Engine,
    shutdown: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Held for the folder's lock, never read.
    _folder: Option<DataFolder>,
}

impl System {
    /// Starts the system and returns when it accepts requests.
    ///
    /// # Errors
    /// Returns an error if the port, the data folder or the template cannot be used; see
    /// [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Self::start_hooked(options, Arc::new(NoHook)).await
    }

    /// Starts the system with a hook on the functions' calls to their tables, for measurements.
    ///
    /// # Errors
    /// Returns the same errors as [`System::start`].
    pub async fn start_hooked(options: Options, hook: Arc<dyn Hook>) -> Result<Self, StartError> {
        // The port is bound first, so that a second runner that is started by mistake does not
        // touch the data folder of the first.
        let listener = listen(options.port).await?;
        let addr = listener.local_addr().map_err(|source| StartError::Listen {
            port: options.port,
            source,
        })?;
        let (folder, engine, store) = open(&options.storage)?;

        let template =
            Template::built_in()?.with_variable("ALLOWED_ORIGINS", &options.allowed_origins);
        let origins = AllowedOrigins::parse(&options.allowed_origins)?;
        deployment::create_tables(&engine, &template)?;

        let guard = Guard {
            port: addr.port(),
            origins,
        };
        let functions = LinkedFunctions {
            template,
            engine: engine.clone(),
            store,
            hook,
            addr,
            clock: Clock::system(),
        };
        let router = functions.router(options.api, guard)?;

        let (shutdown, stopped) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(sweep(
            engine.clone(),
            options.sweep_every,
            stopped.clone(),
        ))];
        for mapping in functions.event_source_mappings()? {
            tasks.push(tokio::spawn(mapping.run(stopped.clone())));
        }
        tasks.push(tokio::spawn(serve(listener, router, stopped)));

        Ok(Self {
            addr,
            engine,
            shutdown,
            tasks,
            _folder: folder,
        })
    }

    /// Starts the embedded DynamoDB alone, without tables, and returns when it accepts requests.
    /// The clients create their own tables.
    ///
    /// # Errors
    /// Returns an error if the port or the data folder cannot be used; see [`StartError`].
    pub async fn start_dynamodb(port: u16, storage: Storage) -> Result<Self, StartError> {
        let listener = listen(port).await?;
        let addr = listener
            .local_addr()
            .map_err(|source| StartError::Listen { port, source })?;

        let (folder, engine) = match storage {
            Storage::Folder(root) => {
                let folder = DataFolder::open(&root)?;
                let engine = Engine::open(&folder.database())?;
                (Some(folder), engine)
            }
            Storage::Memory => (None, Engine::memory()?),
        };

        let (shutdown, stopped) = watch::channel(false);
        let router = gateway::dynamodb_router(engine.clone(), addr.port());
        let tasks = vec![
            tokio::spawn(sweep(engine.clone(), SWEEP_EVERY, stopped.clone())),
            tokio::spawn(serve(listener, router, stopped)),
        ];

        Ok(Self {
            addr,
            engine,
            shutdown,
            tasks,
            _folder: folder,
        })
    }

    /// Stops the system: accepts no new connections, completes the current requests and stream
    /// batches, and releases the data folder.
    pub async fn stop(self) {
        // The send fails if all tasks have ended already, which is the goal.
        let _ = self.shutdown.send(true);
        for mut task in self.tasks {
            if tokio::time::timeout(STOP_MAX, &mut task).await.is_err() {
                tracing::warn!("a task did not stop in time and is aborted");
                task.abort();
            }
        }
    }
}

/// What the functions of this process need, and the embedded engines that they call.
struct LinkedFunctions {
    template: Template,
    engine: Engine,
    store: Store,
    hook: Arc<dyn Hook>,
    addr: SocketAddr,
    clock: Clock,
}

impl LinkedFunctions {
    /// Returns the AWS clients of a function.
    fn clients(&self, function: &str) -> Clients {
        let engine = EngineClient::with_hook(self.engine.clone(), Arc::clone(&self.hook));
        Clients {
            dynamodb: dynamodb_client(engine),
            // The functions call S3 in this process. The upload URLs contain the address of the
            // front.
            bucket: s3_client(
                StoreClient::new(self.store.clone()),
                &format!("http://{}", self.addr),
                function,
            ),
            // There is no SNS on this machine, so `notify` publishes nothing. Its stream is read
            // and trimmed nevertheless.
            sns: None,
        }
    }

    /// Returns the router of all entry points, with the functions behind the API and the functions
    /// that operators invoke.
    fn router(&self, kind: ApiKind, guard: Guard) -> Result<axum::Router, StartError> {
        let clients = |function: &str| self.clients(function);
        let functions = deployment::functions(&self.template, &clients, &self.clock)?;
        let invocations = deployment::invocations(&self.template, &clients, &self.clock)?;

        let front = Front {
            kind,
            engine: self.engine.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            invocations,
            guard,
        };
        Ok(gateway::router(front, ROUTES, &functions)?)
    }

    /// Returns an emulator for each stream mapping of the template, with its function.
    fn event_source_mappings(&self) -> Result<Vec<EventSourceMapping<StreamFunction>>, StartError> {
        let emulate = |mapping: &StreamMapping| -> Result<_, StartError> {
            let name = mapping.function.as_str();
            let clients = self.clients(name);
            let consumer =
                deployment::stream_consumer(&self.template, name, clients, self.clock.clone())?;
            let function = deployment::stream_function(name, consumer)?;
            Ok(EventSourceMapping::new(
                self.engine.clone(),
                mapping,
                function,
            ))
        };
        self.template
            .stream_mappings()?
            .iter()
            .map(emulate)
            .collect()
    }
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse(port),
            _ => StartError::Listen { port, source },
        })
}

fn open(storage: &Storage) -> Result<(Option<DataFolder>, Engine, Store), StartError> {
    match storage {
        Storage::Folder(root) => {
            let folder = DataFolder::open(root)?;
            let (engine, store) = (
                Engine::open(&folder.database())?,
                Store::open(&folder.media())?,
            );
            Ok((Some(folder), engine, store))
        }
        Storage::Memory => Ok((None, Engine::memory()?, Store::temporary()?)),
    }
}

async fn serve(listener: TcpListener, router: axum::Router, mut stopped: watch::Receiver<bool>) {
    let until_stopped = async move {
        // A dropped sender means stop as well.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(until_stopped)
        .await
    {
        tracing::error!(%error, "the listener failed");
    }
}

/// Deletes expired items at the start and at each interval. Without the deletion at the start, a
/// runner that never runs for a whole interval would keep them forever.
async fn sweep(engine: Engine, every: Duration, mut stopped: watch::Receiver<bool>) {
    loop {
        let swept = engine.sweep_expired().and_then(|_| engine.compact());
        if let Err(error) = swept {
            tracing::warn!(%error, "expired items not deleted, or their space not released");
        }
        // The wait ends early only when the system stops.
        if tokio::time::timeout(every, stopped.wait_for(|stop| *stop))
            .await
            .is_ok()
        {
            return;
        }
    }
}
