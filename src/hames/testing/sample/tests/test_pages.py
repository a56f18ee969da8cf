import unittest

from shop.pages import page, page_count


class PagesTest(unittest.TestCase):
    def test_a_last_page_that_is_not_full_counts(self):
        self.assertEqual(page_count(7, 3), 3)

    def test_full_pages_are_counted_once(self):
        self.assertEqual(page_count(6, 3), 2)

    def test_the_first_page_is_page_one(self):
        self.assertEqual(page(["a", "b", "c", "d"], 1, 2), ["a", "b"])

    def test_the_last_page_holds_the_rest(self):
        self.assertEqual(page(["a", "b", "c"], 2, 2), ["c"])


if __name__ == "__main__":
    unittest.main()
