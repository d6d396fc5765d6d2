//! Rules of stream clients that are dialled.

use crate::call::target::is_own_header;
use crate::config::line::Action;
use crate::config::reader::Reader;
use crate::config::report::nearest;
use crate::config::stream::{StreamClient, TlsProfile};
use crate::config::{Config, Url};

/// Reports what does not go together of stream clients and their TLS.
pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    for (index, profile) in config.tls_profile.iter().enumerate() {
        files(profile, &format!("tls_profile[{index}]"), reader);
    }
    for (index, line) in config.instance.iter().enumerate() {
        if let Some(dialled) = &line.stream {
            client(config, dialled, &format!("instance[{index}].stream"), reader);
        }
    }
    for (index, route) in config.route.iter().enumerate() {
        if let Some(url) = route.url.as_ref().filter(|_| route.action == Action::Stream) {
            web_socket(url, &format!("route[{index}].url"), reader);
        }
        let Some(dialled) = &route.stream else { continue };
        let path = format!("route[{index}].stream");
        client(config, dialled, &path, reader);
        if route.action == Action::Stream && dialled.url.is_some() && route.url.is_some() {
            reader.error_at(&format!("{path}.url"), "the route has a url already");
        }
    }
}

fn files(profile: &TlsProfile, path: &str, reader: &mut Reader<'_>) {
    for (key, file) in
        [("certificate", &profile.certificate), ("key", &profile.key), ("ca", &profile.ca)]
    {
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            let message = format!("{} is not a file that can be read", file.display());
            reader.error_at(&format!("{path}.{key}"), message);
        }
    }
    match (&profile.certificate, &profile.key) {
        (Some(_), None) => reader.error_at(&format!("{path}.certificate"), "needs key"),
        (None, Some(_)) => reader.error_at(&format!("{path}.key"), "needs certificate"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if profile.only_ca && profile.ca.is_none() {
        reader.error_at(&format!("{path}.only_ca"), "needs ca: nobody else is trusted");
    }
}

fn client(config: &Config, client: &StreamClient, path: &str, reader: &mut Reader<'_>) {
    if let Some(url) = &client.url {
        web_socket(url, &format!("{path}.url"), reader);
    }
    if let Some(name) = &client.tls {
        let names: Vec<String> =
            config.tls_profile.iter().map(|one| one.name.to_string()).collect();
        if !names.iter().any(|known| *known == **name) {
            let hint = nearest(name, &names).map(|near| format!("; did you mean {near:?}?"));
            let message = format!("there is no [[tls_profile]] called {:?}", &**name);
            reader.error_at(&format!("{path}.tls"), message + &hint.unwrap_or_default());
        }
    }
    let mut authorised = client.bearer.is_some();
    for (index, header) in client.header.iter().enumerate() {
        let path = format!("{path}.header[{index}]");
        let is_authorization = header.name.eq_ignore_ascii_case("authorization");
        if is_authorization && std::mem::replace(&mut authorised, true) {
            reader.error_at(&path, "Authorization is given twice, with bearer or another header");
        }
        if !is_authorization && !is_own_header(&header.name, "") {
            let message = "must be Authorization, or begin with X- and have letters, digits and \
                           hyphens";
            reader.error_at(&format!("{path}.name"), message);
        }
        sendable(header.value.expose(), &format!("{path}.value"), reader);
    }
    if let Some(bearer) = &client.bearer {
        sendable(bearer.expose(), &format!("{path}.bearer"), reader);
    }
}

/// A header field holds visible ASCII in one line.
fn sendable(value: &str, path: &str, reader: &mut Reader<'_>) {
    if !value.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
        reader.error_at(path, "must be ASCII in one line");
    }
}

fn web_socket(url: &Url, path: &str, reader: &mut Reader<'_>) {
    if !url.starts_with("ws://") && !url.starts_with("wss://") {
        reader.error_at(path, "a stream client is at a URL that begins with ws:// or wss://");
    }
}
