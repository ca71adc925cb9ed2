<?php

declare(strict_types=1);

require __DIR__ . '/../vendor/autoload.php';

use App\Page;
use Greeting\Greeting;

$name = $_GET['name'] ?? getenv('GREET') ?: 'world';
echo Page::render(Greeting::for(is_string($name) ? $name : 'world'));
