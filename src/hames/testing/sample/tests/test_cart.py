import unittest

from shop.cart import Line, parse_line, subtotal, total


class CartTest(unittest.TestCase):
    def test_a_line_is_read_without_stray_blanks(self):
        self.assertEqual(parse_line("2 x apple @ 30"), Line("apple", 2, 30))

    def test_the_quantity_counts(self):
        self.assertEqual(subtotal([Line("apple", 2, 30), Line("pear", 1, 45)]), 105)

    def test_a_discount_is_taken_off(self):
        self.assertEqual(total([Line("apple", 10, 30)], discount_percent=10), 270)

    def test_a_discount_over_a_hundred_is_refused(self):
        with self.assertRaises(ValueError):
            total([], discount_percent=101)


if __name__ == "__main__":
    unittest.main()
