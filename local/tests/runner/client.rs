//! HTTP/1.1 over one connection that is kept open, no more than these tests need: the tests then
//! see what the runner really writes on its socket, and an answer that never comes is an error
//! after a while.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::process::WAIT_MAX;

/// A connection to a runner.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// What the runner answered.
#[derive(Debug)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// Head, lower case.
    pub head: String,
    /// Body.
    pub text: String,
}

impl ApiResponse {
    /// The body as JSON, which it must be, and must say that it is.
    pub fn json(&self) -> Value {
        let is_declared =
            self.head.contains("\r\ncontent-type: application/") && self.head.contains("json");
        assert!(is_declared, "no JSON type: {self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    /// Connects.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, WAIT_MAX)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        stream.set_write_timeout(Some(WAIT_MAX))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Posts JSON text to a route below `/api/v1/mobile/`.
    pub fn post(&mut self, route: &str, token: &str, body: &str) -> io::Result<ApiResponse> {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        self.send(
            &format!("POST /api/v1/mobile/{route}"),
            &headers,
            body.as_bytes(),
        )
    }

    /// Every row of a table, through the runner's DynamoDB door.
    pub fn scan(&mut self, table: &str) -> Vec<Value> {
        let mut request = json!({ "TableName": table });
        let mut rows = Vec::new();
        loop {
            let target = [("x-amz-target", "DynamoDB_20120810.Scan")];
            let response = self
                .send("POST /", &target, request.to_string().as_bytes())
                .unwrap();
            assert_eq!(response.status, 200, "{response:?}");
            let mut page = response.json();
            rows.append(page["Items"].as_array_mut().unwrap());
            match page.get("LastEvaluatedKey") {
                Some(key) => request["ExclusiveStartKey"] = key.clone(),
                None => return rows,
            }
        }
    }

    /// Sends a request and reads its answer.
    pub fn send(
        &mut self,
        method_and_path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<ApiResponse> {
        let mut request = format!(
            "{method_and_path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        self.exchange(&[request.as_bytes(), b"\r\n", body].concat())
    }

    /// Sends these bytes and reads an answer.
    pub fn exchange(&mut self, bytes: &[u8]) -> io::Result<ApiResponse> {
        match self.stream.get_mut().write_all(bytes) {
            // A server that has heard enough answers and closes while a body is still being sent.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) => {}
            written => written?,
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        head.make_ascii_lowercase();
        let broken = |_| {
            io::Error::new(
                ErrorKind::InvalidData,
                "an answer without a status or a length",
            )
        };
        let status = head
            .get(9..12)
            .unwrap_or_default()
            .parse()
            .map_err(broken)?;
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap_or("0");
        let mut body = vec![0; length.parse().map_err(broken)?];
        self.stream.read_exact(&mut body)?;
        let text = String::from_utf8(body)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(ApiResponse { status, head, text })
    }
}
