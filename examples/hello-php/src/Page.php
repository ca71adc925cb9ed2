<?php

declare(strict_types=1);

namespace App;

final class Page
{
    public static function render(string $heading): string
    {
        $safe = htmlspecialchars($heading);
        $version = PHP_VERSION;
        $server = php_sapi_name();
        return "<!doctype html><meta charset=\"utf-8\"><title>$safe</title><h1>$safe</h1>"
            . "<p>PHP $version by $server.</p>"
            . '<form><input name="name" placeholder="Your name"><button>Greet</button></form>';
    }
}
