# frozen_string_literal: true

require "bundler/setup"
require "cgi"
require "tiny_server"

app = lambda do |env|
  next [404, { "content-type" => "text/plain" }, ["no such page\n"]] unless env["PATH_INFO"] == "/"

  name = CGI.escapeHTML(CGI.parse(env["QUERY_STRING"])["name"].first || "world")
  body = "<!doctype html><meta charset=\"utf-8\"><title>Hello</title><h1>Hello, #{name}</h1><p>Ruby #{RUBY_VERSION}.</p>"
  [200, { "content-type" => "text/html; charset=utf-8" }, [body]]
end

server = TinyServer.new(app, port: Integer(ENV.fetch("PORT", "8000")))
Signal.trap("TERM") { Thread.new { server.stop } }
server.run
