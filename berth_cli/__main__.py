from berth_cli.main import app

app()
