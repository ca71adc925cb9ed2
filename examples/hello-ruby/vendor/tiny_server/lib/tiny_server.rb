# frozen_string_literal: true

require "socket"

# Serves a Rack app, one request a connection. Enough for an example that needs no gem from an index; yours has puma.
class TinyServer
  REASONS = { 200 => "OK", 404 => "Not Found" }.freeze

  def initialize(app, port:)
    @app = app
    @socket = TCPServer.new("0.0.0.0", port)
  end

  def run
    loop { Thread.new(@socket.accept) { |client| answer(client) } }
  rescue IOError
    nil # closed by stop
  end

  def stop
    @socket.close
  end

  private

  def answer(client)
    verb, target, = client.gets(8192)&.split
    return unless target

    nil until [nil, "\r\n"].include?(client.gets(8192))
    path, query = target.split("?", 2)
    status, headers, body = @app.call("REQUEST_METHOD" => verb, "PATH_INFO" => path, "QUERY_STRING" => query.to_s)
    text = body.each.to_a.join
    client.write "HTTP/1.1 #{status} #{REASONS[status]}\r\nconnection: close\r\ncontent-length: #{text.bytesize}\r\n"
    headers.each { |name, value| client.write "#{name}: #{value}\r\n" }
    client.write "\r\n#{text}"
  ensure
    client.close
  end
end
