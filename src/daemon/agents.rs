//! From what a request asks of an agent, and what the configuration allows, to an agent that can
//! conduct the call.
//!
//! Owns the choice of brain, voice, transcriber and tools, and every reason why a call cannot be
//! conducted: it is asked before anything is dialled. Does not conduct calls: `app::agent` does.

use crate::api::error::{Code, FieldError, Problem};
use crate::app::agent::brain::BrainSpec;
use crate::app::agent::chat::ChatSpec;
use crate::app::agent::conversation::voicemail_policy;
use crate::app::agent::harness::HarnessSpec;
use crate::app::agent::interface::BrainContext;
use crate::app::agent::leg::{AgentParts, AgentSpec};
use crate::app::agent::live::{LiveKind, LiveSpec};
use crate::app::agent::live_leg::LiveAgentSpec;
use crate::app::agent::request::{AgentRequest, SCRIPT};
use crate::app::agent::schema::Schema;
use crate::app::agent::script::Playbook;
use crate::app::agent::tools::http::{HttpToolSpec, ToolMethod};
use crate::app::agent::tools::{BUILT_IN, ToolFault, ToolSpec, Toolbox};
use crate::app::transcribe::Transcribe;
use crate::call::record::{CallRecord, Direction, TransferMode};
use crate::config::{AgentProfile, Config, LlmEngine, LlmKind, Secret};
use crate::net::http::HttpClient;
use crate::speech::key::ApiKey;
use crate::speech::stt::{Stt, SttRequest};
use crate::speech::tts::Tts;
use crate::turn::interface::TurnSpec;
use std::sync::Arc;

/// The built-in voice that speaks when others fail.
const FAILURE_VOICE: &str = "en-US-001";

/// Everything that agents are made of.
pub(super) struct AgentDesk {
    profile: AgentProfile,
    brains: Vec<LlmEngine>,
    targets: Vec<Target>,
    http_tools: Vec<Arc<HttpToolSpec>>,
    /// What all agents share.
    pub parts: AgentParts,
}

/// Somebody whom agents may hand calls over to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// What brains call it.
    name: String,
    /// Number or SIP URI.
    pub uri: String,
    /// How the call is handed over.
    pub mode: TransferMode,
}

/// An agent, ready for its call.
pub(super) enum Agent {
    /// The gateway takes the turns, the brain finds the words.
    Turns(Box<AgentSpec>),
    /// The brain hears and speaks by itself.
    Live(Box<LiveAgentSpec>),
}

/// Who conducts.
enum Conductor {
    Turns(BrainSpec),
    Live(LiveSpec),
}

/// An agent that can conduct a call.
struct AgentPlan {
    brain: Conductor,
    prices: (f64, f64),
    tools: Toolbox,
    result_schema: Option<Schema>,
    voice: String,
    language: String,
    transcribe: SttRequest,
}

impl AgentDesk {
    /// Makes the desk of a configuration.
    pub(super) fn new(config: &Config, tts: Tts, stt: Stt) -> Self {
        let http_tools = config.agent.tool.iter().map(|tool| {
            Arc::new(HttpToolSpec {
                name: tool.name.to_string(),
                description: tool.description.clone(),
                parameters: serde_json::Value::Object(tool.parameters.0.clone()),
                url: tool.url.to_string(),
                method: ToolMethod::Post,
                headers: Vec::new(),
                timeout: tool.timeout,
                hmac_secret: tool.secret.as_ref().map(key),
            })
        });
        Self {
            profile: config.agent.default.clone(),
            brains: config.engine.llm.clone(),
            targets: config.agent.target.iter().map(target).collect(),
            http_tools: http_tools.collect(),
            parts: AgentParts { tts, stt, http: HttpClient::new() },
        }
    }

    /// Whom this name means.
    pub(super) fn target(&self, name: &str) -> Option<Target> {
        self.targets.iter().find(|target| target.name == name).cloned()
    }

    fn target_names(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.name.clone()).collect()
    }

    /// Whether such a call can be conducted.
    pub(super) fn check(
        &self,
        request: Option<&AgentRequest>,
        transcribe: Option<&Transcribe>,
    ) -> Result<(), Problem> {
        let engine = transcribe.and_then(|wanted| wanted.engine.as_deref());
        match request {
            Some(request) => self.plan(request, transcribe).map(drop),
            None => known_transcriber(&self.parts.stt, engine),
        }
    }

    /// The agent of a call; `keys_by_call`: digits are the call's to send.
    pub(super) fn agent(
        &self,
        request: &AgentRequest,
        transcribe: Option<&Transcribe>,
        record: &CallRecord,
        keys_by_call: bool,
    ) -> Result<Agent, Problem> {
        let plan = self.plan(request, transcribe)?;
        let mut instructions: Vec<String> = self.profile.system.iter().cloned().collect();
        instructions.extend(request.instructions.iter().cloned());
        let direction = match record.direction {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
        };
        let context = BrainContext {
            call_id: record.id.to_string(),
            direction: direction.to_owned(),
            from: record.from.clone(),
            identity: record.identity.clone(),
            to: record.target_phone.clone(),
            instructions,
            language: plan.language.clone(),
            tools: plan.tools.declarations(),
            result_schema: plan.result_schema.as_ref().map(|schema| schema.source().clone()),
            metadata: record.metadata.clone(),
            model: request.model.clone(),
        };
        let turn = self.turn(request, &plan.language);
        let failure_voice = FAILURE_VOICE.to_owned();
        let (sample_rate, max_cost) = (super::parts::RATE, self.profile.max_cost);
        let (tools, prices) = (plan.tools.with_keys_by_call(keys_by_call), plan.prices);
        Ok(match plan.brain {
            Conductor::Turns(brain) => Agent::Turns(Box::new(AgentSpec {
                context,
                brain,
                turn,
                tools,
                voice: plan.voice,
                failure_voice,
                sample_rate,
                transcribe: plan.transcribe,
                prices,
                max_cost,
            })),
            Conductor::Live(live) => Agent::Live(Box::new(LiveAgentSpec {
                context,
                live,
                turn,
                tools,
                failure_voice,
                sample_rate,
                prices,
                max_cost,
            })),
        })
    }

    fn plan(
        &self,
        request: &AgentRequest,
        transcribe: Option<&Transcribe>,
    ) -> Result<AgentPlan, Problem> {
        let language = request.language.clone().unwrap_or_else(|| self.profile.language.clone());
        let result_schema = request.result_schema.as_ref().map(Schema::compile_object);
        let result_schema = result_schema.transpose().map_err(|fault| {
            let pointer = format!("/agent/resultSchema{}", fault.pointer);
            Problem::new(Code::InvalidRequest, fault.detail).with_pointer(pointer, "schema")
        })?;
        let (brain, prices, phrases) = if request.is_script() {
            let playbook = self.playbook(request)?;
            let phrases = playbook.phrases(&language);
            (Conductor::Turns(BrainSpec::Script(playbook)), (0.0, 0.0), phrases)
        } else {
            let engine = self.brain(request)?;
            (conductor(engine, request), (engine.price_in, engine.price_out), Vec::new())
        };
        let tools = self.tools(request, &brain, result_schema.clone())?;
        let transcribe = self.transcriber(transcribe, &language, phrases)?;
        let first = || self.parts.tts.voices().first().map(|voice| voice.id.clone());
        let voice = request.voice.clone();
        let voice = voice.or_else(|| self.profile.voice.as_ref().map(ToString::to_string));
        let voice = voice.or_else(first).unwrap_or_default();
        Ok(AgentPlan { brain, prices, tools, result_schema, voice, language, transcribe })
    }

    fn playbook(&self, request: &AgentRequest) -> Result<Playbook, Problem> {
        let empty = serde_json::Value::Array(Vec::new());
        let script = request.script.as_ref().unwrap_or(&empty);
        let root = if script.is_array() { "/agent/steps" } else { "/agent/script" };
        let playbook = Playbook::parse(script).map_err(|faults| {
            let errors = faults.into_iter().map(|fault| FieldError {
                pointer: format!("{root}{}", fault.pointer),
                code: fault.code,
                detail: fault.detail,
            });
            Problem::new(Code::InvalidRequest, "the playbook cannot be followed")
                .with_errors(errors.collect())
        })?;
        let unknown = playbook
            .targets()
            .into_iter()
            .find(|target| !self.targets.iter().any(|known| known.name == *target));
        if let Some(target) = unknown {
            let detail = format!(
                "the playbook transfers to {target:?}; [[agent.target]] of the configuration has {}",
                listed(&self.target_names())
            );
            return Err(Problem::new(Code::InvalidRequest, detail).with_pointer(root, "unknown"));
        }
        Ok(playbook)
    }

    /// The configured brain that the request names, or the default one.
    fn brain(&self, request: &AgentRequest) -> Result<&LlmEngine, Problem> {
        let named = request.backend.as_deref().filter(|name| *name != "default");
        if self.brains.is_empty() {
            let detail = format!(
                "no brain can conduct the call: configure [[engine.llm]], or send a playbook in \
                 agent.steps with the backend \"{SCRIPT}\""
            );
            return Err(Problem::new(Code::AgentEngineUnavailable, detail));
        }
        let wanted = named.or(self.profile.llm.as_deref());
        let Some(wanted) = wanted else { return Ok(&self.brains[0]) };
        self.brains.iter().find(|brain| &*brain.name == wanted).ok_or_else(|| {
            let known: Vec<String> = self.brains.iter().map(|one| one.name.to_string()).collect();
            let detail = format!("there is no brain {wanted:?}; there are {}", listed(&known));
            Problem::new(Code::InvalidRequest, detail).with_pointer("/agent/backend", "unknown")
        })
    }

    fn tools(
        &self,
        request: &AgentRequest,
        brain: &Conductor,
        result: Option<Schema>,
    ) -> Result<Toolbox, Problem> {
        let configured = self.http_tools.iter().map(|tool| tool.name.clone());
        let all: Vec<String> = BUILT_IN.into_iter().map(str::to_owned).chain(configured).collect();
        let permitted = match &self.profile.tools {
            Some(names) => names.iter().map(ToString::to_string).collect(),
            None => all,
        };
        let allowed = match (brain, &request.tools) {
            // A playbook was written by the caller: it may do what it says.
            (Conductor::Turns(BrainSpec::Script(playbook)), _) => {
                playbook.tools().into_iter().map(str::to_owned).collect()
            }
            (_, None) => permitted,
            (_, Some(asked)) => {
                let refused = asked.iter().find(|name| {
                    let plain = if *name == "hangup" { "hang_up" } else { name.as_str() };
                    !permitted.iter().any(|known| known == plain)
                });
                if let Some(name) = refused {
                    let detail = format!(
                        "there is no tool {name:?} for this call; there are {}",
                        listed(&permitted)
                    );
                    return Err(Problem::new(Code::InvalidRequest, detail)
                        .with_pointer("/agent/tools", "unknown"));
                }
                asked.clone()
            }
        };
        let targets = self.target_names();
        let spec = ToolSpec { allowed, targets, result, http: self.http_tools.clone() };
        Toolbox::new(&spec).map_err(|fault: ToolFault| {
            Problem::new(Code::InvalidRequest, fault.to_string())
                .with_pointer("/agent/tools", "invalid")
        })
    }

    fn transcriber(
        &self,
        asked: Option<&Transcribe>,
        language: &str,
        phrases: Vec<String>,
    ) -> Result<SttRequest, Problem> {
        let wanted = asked.cloned().unwrap_or_default();
        let engine = wanted.engine.or_else(|| self.profile.stt.as_ref().map(ToString::to_string));
        known_transcriber(&self.parts.stt, engine.as_deref())?;
        let phrases = if wanted.phrases.is_empty() { phrases } else { wanted.phrases };
        Ok(SttRequest {
            engine,
            language: wanted.language.or_else(|| Some(language.to_owned())),
            phrases,
            partials: true,
            rate: super::parts::RATE,
        })
    }

    fn turn(&self, request: &AgentRequest, language: &str) -> TurnSpec {
        let profile = &self.profile;
        let turn = &profile.turn;
        let reprompts = profile.reprompts.iter().enumerate().map(|(index, text)| {
            let nth = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
            (turn.reprompt_after.saturating_mul(nth), text.clone())
        });
        let voicemail = request.voicemail.as_deref().unwrap_or(profile.voicemail.as_str());
        TurnSpec {
            agent_first: request.agent_first,
            disclosure: request.disclosure.clone().or_else(|| profile.disclosure.clone()),
            greeting: request.greeting.clone(),
            language: language.to_owned(),
            silence_min: turn.silence_min,
            silence: turn.silence,
            silence_max: turn.silence_max,
            transcript_wait: turn.transcript_wait,
            barge_in: turn.barge_in,
            barge_in_words: turn.barge_in_words as usize,
            interruptible: turn.interruptible,
            echo_guard: turn.echo_guard,
            network_delay: turn.network_delay,
            speculate: turn.speculate,
            filler: profile.filler.clone(),
            filler_after: turn.filler_after,
            reprompts: reprompts.collect(),
            give_up: turn.give_up.get(),
            failure: profile.failure.clone(),
            wrap_up: Some(profile.wrap_up.clone()).filter(|text| !text.trim().is_empty()),
            max_duration: request.max_duration.unwrap_or(profile.max_duration),
            max_turns: request.max_turns.unwrap_or(profile.max_turns),
            voicemail: voicemail_policy(voicemail),
            ..TurnSpec::default()
        }
    }
}

/// Refuses the name of a transcriber that there is not.
fn known_transcriber(stt: &Stt, name: Option<&str>) -> Result<(), Problem> {
    let names = stt.names();
    match name {
        Some(name) if !names.contains(&name) => {
            let known: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let detail = format!("there is no STT engine {name:?}; there are {}", listed(&known));
            Err(Problem::new(Code::InvalidRequest, detail)
                .with_pointer("/transcribe/backend", "unknown"))
        }
        Some(_) | None => Ok(()),
    }
}

fn target(target: &crate::config::TransferTarget) -> Target {
    let (name, uri) = (target.name.to_string(), target.uri.to_string());
    let mode = match target.mode {
        crate::config::TransferMode::Refer => TransferMode::Blind,
        crate::config::TransferMode::Bridge => TransferMode::Bridge,
    };
    Target { name, uri, mode }
}

fn conductor(engine: &LlmEngine, request: &AgentRequest) -> Conductor {
    let model = request.model.clone().or_else(|| engine.model.clone()).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "a temperature needs no double")]
    let temperature = engine.temperature.map(|temperature| temperature as f32);
    let api_key = engine.key.as_ref().map(key);
    match engine.kind {
        LlmKind::OpenaiChat => Conductor::Turns(BrainSpec::Chat(ChatSpec {
            url: engine.url.to_string(),
            key: api_key,
            model,
            temperature,
            max_tokens: engine.max_tokens,
            first_token: engine.first_token,
            idle: engine.idle,
            summary: engine.summary,
        })),
        LlmKind::Harness => Conductor::Turns(BrainSpec::Harness(HarnessSpec {
            key: api_key,
            first_message: engine.first_token,
            idle: engine.idle,
            ..HarnessSpec::new(&engine.url)
        })),
        LlmKind::OpenaiRealtime => {
            Conductor::Live(live(LiveKind::Realtime, engine, model, request.agent_first))
        }
        LlmKind::GptLive => {
            Conductor::Live(live(LiveKind::GptLive, engine, model, request.agent_first))
        }
    }
}

fn live(kind: LiveKind, engine: &LlmEngine, model: String, first_word: bool) -> LiveSpec {
    let usual = LiveSpec::new(kind);
    LiveSpec {
        url: engine.url.to_string(),
        key: engine.key.as_ref().map(key),
        model: if model.is_empty() { usual.model.clone() } else { model },
        voice: engine.voice.clone(),
        delegate: engine.delegate.clone(),
        first_word,
        ready: engine.first_token,
        idle: engine.idle,
        ..usual
    }
}

fn key(secret: &Secret) -> ApiKey {
    ApiKey::new(secret.expose())
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
