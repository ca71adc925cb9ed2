// Short links in memory: GET / is a form, POST / makes a link, GET /<id> follows it.
import { createServer } from "node:http";
import { nanoid } from "nanoid";

const links = new Map();
const page = (body) => `<!doctype html><meta charset="utf-8"><title>Short links</title><h1>Short links</h1>${body}`;
const form = `<form method="post"><input name="url" type="url" required placeholder="https://…"><button>Shorten</button></form>`;

const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

async function read(request) {
  let body = "";
  for await (const chunk of request) {
    body += chunk;
    if (body.length > 8192) return null;
  }
  return new URLSearchParams(body).get("url");
}

const server = createServer(async (request, response) => {
  const send = (status, body, headers = {}) => {
    response.writeHead(status, { "content-type": "text/html; charset=utf-8", ...headers });
    response.end(page(body));
  };
  if (request.method === "POST" && request.url === "/") {
    const url = await read(request);
    if (!url || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) return send(400, "<p>That is no address.</p>" + form);
    const id = nanoid(8);
    links.set(id, url);
    return send(201, `<p><a href="/${id}">/${id}</a> leads to ${escaped(url)}</p>` + form);
  }
  if (request.url === "/") return send(200, `<p>Node ${process.version}, ${links.size} links.</p>` + form);
  const target = links.get(request.url.slice(1));
  return target ? send(302, "", { location: target }) : send(404, "<p>No such link.</p>");
});

server.listen(process.env.PORT ?? 8000, "0.0.0.0");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
