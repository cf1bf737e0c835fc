#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The load of a Redis guest. Fills the database with values that look like JSON, has Redis keep a log of its writes on disk,
# says so in the key lab:loaded, and from then on writes values anew at random, lab:pace of them each second.
use strict;
use warnings;
use IO::Socket::UNIX;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

use constant {VALUES => 220_000, BATCH => 500, TICKS_PER_SECOND => 10};
my @WORDS = qw(order shipped pending customer invoice street berlin paris madrid london return refund priority standard
  express warehouse north south discount voucher account private business contact phone email);

sub connected {
    for (1 .. 300) {
        my $link = IO::Socket::UNIX->new(Peer => $ARGV[0]);
        return $link if $link;
        sleep 0.1;
    }
    die "Redis does not listen on $ARGV[0]\n";
}
my $link = connected();

sub command { join '', '*' . @_ . "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @_ }

# One answer that is a line or a string; undef for none.
sub answer {
    my $line = <$link> // die "Redis is gone\n";
    return substr($line, 1, -2) unless $line =~ /^\$(-?\d+)/;
    return undef if $1 < 0;
    read($link, my $value, $1 + 2) == $1 + 2 or die "Redis is gone\n";
    return substr($value, 0, -2);
}

sub ask { print {$link} command(@_); $link->flush; return answer() }

# About 1 KiB, of which a good compressor leaves a third.
sub value {
    my ($number) = @_;
    my @items = map {
        sprintf '{"sku":"%08x%08x","title":"%s %s","price":%d.%02d,"count":%d}', rand(2**32), rand(2**32),
          $WORDS[rand @WORDS], $WORDS[rand @WORDS], rand(900), rand(100), rand(20)
    } 1 .. 8;
    return sprintf '{"id":%d,"token":"%08x%08x%08x","status":"%s","city":"%s","updated":%d,"note":"%s","items":[%s]}',
      $number, rand(2**32), rand(2**32), rand(2**32), $WORDS[rand @WORDS], $WORDS[rand @WORDS], rand(2**31),
      join(' ', map { $WORDS[rand @WORDS] } 1 .. 20), join(',', @items);
}

sub store {
    print {$link} join '', map { command('SET', "order:$_", value($_)) } @_;
    $link->flush;
    answer() for @_;
}

srand 7;
for (my $number = 0; $number < VALUES; $number += BATCH) {
    store($number .. $number + BATCH - 1);
}
ask('CONFIG', 'SET', 'appendonly', 'yes');
sleep 0.5 while ask('INFO', 'persistence') =~ /aof_rewrite_(in_progress|scheduled):1/;
ask('SET', 'lab:loaded', VALUES);

my $next = clock_gettime(CLOCK_MONOTONIC);
for (;;) {
    my $writes = int((ask('GET', 'lab:pace') // 0) / TICKS_PER_SECOND);
    store(map { int rand VALUES } 1 .. $writes) if $writes;
    # Time that was lost is not made up for: a guest that stood still does not come back with a burst.
    my $now = clock_gettime(CLOCK_MONOTONIC);
    $next = $next + 1 / TICKS_PER_SECOND > $now ? $next + 1 / TICKS_PER_SECOND : $now;
    sleep $next - $now if $next > $now;
}
