# frozen_string_literal: true

Gem::Specification.new do |spec|
  spec.name = "tiny_server"
  spec.version = "0.1.0"
  spec.summary = "Answers HTTP GET with what a Rack app says"
  spec.authors = ["Berth"]
  spec.files = ["lib/tiny_server.rb"]
end
