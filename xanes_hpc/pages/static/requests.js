// Requests to the server.

/** Return the result of work that may have to wait in line; `tell` hears how many come first. */
export async function askInLine(path, body, tell) {
  let answer = await ask(path, body);
  while (answer.ticket) {
    tell(answer.ahead);
    answer = await ask(`${path}/${answer.ticket}`);
  }
  return answer;
}

/** Return the server's answer to a GET, or to a POST of a form or of an object. */
export async function ask(path, body) {
  const isForm = body instanceof FormData;
  const options = body === undefined ? {} : {
    method: "POST",
    body: isForm ? body : JSON.stringify(body),
    headers: isForm ? {} : { "Content-Type": "application/json" },
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("xanes-hpc serve does not answer; check that it is still running");
  }
  const type = response.headers.get("content-type") || "";
  const answer = type.includes("json") ? await response.json() : await response.text();
  if (!response.ok) throw new Error(answer.error || `request failed (status ${response.status})`);
  return answer;
}
