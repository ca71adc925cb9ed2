"""What a buildpack's image says to those who run it without Berth."""

from __future__ import annotations

from paas.builder.chain import Chain
from paas.builder.plan import ImageSettings, Plan, Stage
from paas.builder.runnable import runnable
from paas.specs import ProcessSpec

PLAN = Plan("python", (Stage("debian:12"),), ImageSettings(env=(("PATH", "/bin"),)))
WEB = ProcessSpec("web", ("gunicorn", "app:app"))
WORKER = ProcessSpec("worker", ("sh", "-c", 'echo "ä"'))


def test_the_web_process_is_its_command_and_has_a_port() -> None:
    plan = runnable(PLAN, (WEB, WORKER))
    config = Chain().saying(text for _, text in plan.stages[-1].settings).image(plan.image)
    assert (config.cmd, config.exposed_ports) == (("gunicorn", "app:app"), ("8000/tcp",))
    assert dict(config.env) == {"PATH": "/bin", "PORT": "8000"}
    assert [step.created_by for step in config.history] == [
        'CMD ["gunicorn", "app:app"]',
        "ENV PORT=8000",
        "EXPOSE 8000/tcp",
    ]


def test_a_port_of_its_own_is_not_that_of_other_process_types() -> None:
    plan = runnable(PLAN, (ProcessSpec("web", ("serve",), port=5000),))
    assert (dict(plan.image.env)["PORT"], plan.image.exposed_ports) == ("5000", ())


def test_without_a_web_process_the_first_one_is() -> None:
    plan = runnable(PLAN, (WORKER,))
    assert (plan.image.cmd, plan.image.env, plan.image.exposed_ports) == (WORKER.args, PLAN.image.env, ())
    assert [text for _, text in plan.stages[-1].settings] == ['CMD ["sh", "-c", "echo \\"ä\\""]']


def test_a_dockerfiles_image_says_what_the_dockerfile_does() -> None:
    plan = Plan("dockerfile", PLAN.stages, PLAN.image)
    assert runnable(plan, (WEB,)) is plan
