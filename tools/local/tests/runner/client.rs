//! A minimal HTTP/1.1 client over one connection that is kept open. The tests see the bytes that
//! the runner writes to its socket, and a missing response becomes an error after a timeout.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::process::WAIT_MAX;

/// A connection to a runner.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A response of the runner.
#[derive(Debug)]
pub struct ApiResponse {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub text: String,
}

impl ApiResponse {
    /// Returns the body as JSON. Panics if the content type is another one or the body is not JSON.
    pub fn json(&self) -> Value {
        let is_declared =
            self.head.contains("\r\ncontent-type: application/") && self.head.contains("json");
        assert!(is_declared, "no JSON type: {self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    /// Connects to a runner, with a timeout for reads and writes.
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

    /// Returns all items of a table, read through the runner's DynamoDB entry point.
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

    /// Sends a request and returns its response.
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

    /// Sends these bytes and returns the response.
    pub fn exchange(&mut self, bytes: &[u8]) -> io::Result<ApiResponse> {
        match self.stream.get_mut().write_all(bytes) {
            // The server may respond and close the connection while the body is still being sent.
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
                "a response without a status or a length",
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
