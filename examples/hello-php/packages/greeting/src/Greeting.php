<?php

declare(strict_types=1);

namespace Greeting;

final class Greeting
{
    public static function for(string $name): string
    {
        return "Hello, $name";
    }
}
